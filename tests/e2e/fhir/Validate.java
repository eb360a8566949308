import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.DefaultProfileValidationSupport;
import ca.uhn.fhir.validation.FhirValidator;
import ca.uhn.fhir.validation.SingleValidationMessage;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import org.hl7.fhir.common.hapi.validation.support.CommonCodeSystemsTerminologyService;
import org.hl7.fhir.common.hapi.validation.support.InMemoryTerminologyServerValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.SnapshotGeneratingValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.UnknownCodeSystemWarningValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.ValidationSupportChain;
import org.hl7.fhir.common.hapi.validation.validator.FhirDefaultPolicyAdvisor;
import org.hl7.fhir.common.hapi.validation.validator.FhirInstanceValidator;
import org.hl7.fhir.r5.elementmodel.Element;
import org.hl7.fhir.r5.model.ElementDefinition;
import org.hl7.fhir.r5.model.StructureDefinition;
import org.hl7.fhir.r5.utils.validation.IMessagingServices;
import org.hl7.fhir.r5.utils.validation.IResourceValidator;
import org.hl7.fhir.r5.utils.validation.constants.ReferenceValidationPolicy;
import org.hl7.fhir.utilities.validation.ValidationMessage;
import org.hl7.fhir.validation.instance.advisor.BasePolicyAdvisorForFullValidation;

/**
 * Validates one R4 resource a line and prints every message as "line TAB severity TAB place TAB text".
 *
 * HAPI's own policy implies no profile from a LOINC code; core's does, so an Observation without meta.profile is
 * held to the vital-signs profiles too.
 */
public final class Validate {
    /** HAPI's policy, with the implied profiles of HL7's own validator. */
    static final class Policy extends FhirDefaultPolicyAdvisor {
        private final BasePolicyAdvisorForFullValidation core =
            new BasePolicyAdvisorForFullValidation(ReferenceValidationPolicy.IGNORE, Set.of());

        @Override
        public List<StructureDefinition> getImpliedProfilesForResource(
                IResourceValidator validator, Object appContext, String stackPath,
                ElementDefinition definition, StructureDefinition structure, Element resource,
                boolean valid, IMessagingServices msgServices, List<ValidationMessage> messages) {
            return core.getImpliedProfilesForResource(
                validator, appContext, stackPath, definition, structure, resource, valid, msgServices, messages);
        }
    }

    public static void main(String[] arguments) throws Exception {
        FhirContext context = FhirContext.forR4();
        FhirInstanceValidator instance = new FhirInstanceValidator(new ValidationSupportChain(
            new DefaultProfileValidationSupport(context),
            new InMemoryTerminologyServerValidationSupport(context),
            new CommonCodeSystemsTerminologyService(context),
            new UnknownCodeSystemWarningValidationSupport(context),
            new SnapshotGeneratingValidationSupport(context)));
        instance.setValidatorPolicyAdvisor(new Policy());
        FhirValidator validator = context.newValidator();
        validator.registerValidatorModule(instance);
        int line = 0;
        for (String resource : Files.readAllLines(Path.of(arguments[0]), StandardCharsets.UTF_8)) {
            line++;
            for (SingleValidationMessage message : validator.validateWithResult(resource).getMessages()) {
                System.out.println(line + "\t" + message.getSeverity() + "\t" + message.getLocationString() + "\t"
                    + message.getMessage().replaceAll("\\s+", " "));
            }
        }
        System.out.println("validated\t" + line);
    }
}
